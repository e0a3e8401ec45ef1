"""Looking through a corpus by the server, saying what hits are worth, and defect scores."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL, picture, run_cli, write_folder
from serving import served
from test_server_bad_input import is_problem

from simsearch.server.feedback import HEADER, Feedback


@pytest.fixture(scope="module")
def doubtful(tmp_path_factory):
    """(folder, home) of a build with two copies, one of them under another label."""
    root = tmp_path_factory.mktemp("doubtful")
    folder = write_folder(root / "photos")
    shutil.copy(folder / "class 0" / "03.png", folder / "class 0" / "copy.png")
    shutil.copy(folder / "class 1" / "04.png", folder / "class 2" / "wrong.png")
    run_cli("build", folder, *SMALL, "--home", root / "home", check=0)
    return folder, root / "home"


def test_suspects_and_duplicates_are_those_of_the_report_that_are_there(doubtful):
    home = doubtful[1]
    with (home / "builds" / "photos" / "suspects.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    with served(home, "photos") as server:
        start = f"/v1/builds/photos/{server.digest()}"
        found = server.get(f"{start}/suspects").json["suspects"]
        assert [(one["image"], one["label"], one["says"], one["why"]) for one in found] == [
            (line["image"], line["label"], line["says"], line["why"]) for line in lines
        ]
        assert "class 2/wrong.png" in {one["image"] for one in found}
        assert server.get(found[0]["thumbnail"]).status == 200
        told = server.get(f"{start}/duplicates").json
        groups = [{one["image"] for one in group} for group in told["groups"]]
        assert {"class 0/03.png", "class 0/copy.png"} in groups
        assert {"class 1/04.png", "class 2/wrong.png"} in groups
        assert set(told["kinds"]) <= {"copies", "looks", "score"}
        assert len(told["kinds"]) == len(groups)
        (doubtful[0] / "class 2" / "wrong.png").unlink()
        run_cli("sync", "--build", "photos", "--home", home, check=0)
        assert len(server.look()) == 1
        start = f"/v1/builds/photos/{server.digest()}"
        assert "class 2/wrong.png" not in {one["image"] for one in server.get(f"{start}/suspects").json["suspects"]}
        assert all(len(group) > 1 for group in server.get(f"{start}/duplicates").json["groups"])


def rows(path):
    with path.open(newline="") as file:
        head, *found = csv.reader(file)
    assert tuple(head) == HEADER
    return found


def test_what_is_said_of_hits_becomes_rows_of_a_list(built, tmp_path):
    path = tmp_path / "feedback.csv"
    sent = (built[0] / "class 1" / "05.png").read_bytes()
    with served(built[1], "photos", feedback=Feedback(str(path))) as server:
        assert server.get("/v1/builds").json["builds"][0]["feedback"] is True
        answer = server.form("/v1/search", image=sent).json

        def say(said, **more):
            asked = {"build": "photos", "digest": answer["digest"], "query": answer["id"]}
            return server.post("/v1/feedback", {**asked, "row": answer["hits"][0]["row"], "said": said, **more})

        assert say("right").status == 204
        (row,) = rows(path)
        assert row[:4] == [f"feedback-pictures/{answer['id']}.png", answer["hits"][0]["label"], "test", "right"]
        assert (tmp_path / row[0]).read_bytes() == sent
        assert say("class 2").status == 204
        ((place, label, split, said, _),) = rows(path)
        assert (place, label, split, said) == (row[0], "class 2", "test", "wrong")
        by_row = server.post("/v1/search", {"row": 3}).json
        assert say("right", query=by_row["id"]).status == 204
        assert len(rows(path)) == 2
        for wrong, status in (({"query": "none"}, 404), ({"query": "../../x"}, 404), ({"row": 99}, 404),
                              ({"digest": "0" * 12}, 410), ({"build": "none"}, 404), ({"query": "row-x"}, 404),
                              ({"query": f"row-{'9' * 30}"}, 404)):  # fmt: skip
            assert is_problem(say("right", **wrong), status)
        for said in ("", " ", "=cmd()", "a\nb", "x" * 201, "+1", "@x", "-2+3", "\uff1d1", "\x1b[0m"):
            assert is_problem(say(said), 422)
        cut = server.form("/v1/search", {"crop": "0,0,.5,.5"}, image=picture_bytes(7)).json
        assert is_problem(say("right", query=cut["id"]), 404)
    again = Feedback(str(path))
    again.say("new", sent, "class 0", "right")
    assert len(rows(path)) == 3
    # As docs/nightly.md puts them behind the rows of a list.
    shutil.copytree(built[0], tmp_path / "photos")
    listed = [f"{file.relative_to(tmp_path)},{file.parent.name}," for file in (tmp_path / "photos").rglob("*.png")]
    lines = ["path,label,split", *listed, *(",".join(row[:3]) for row in rows(path))]
    (tmp_path / "nightly.csv").write_text("\n".join(lines) + "\n")
    done = run_cli("build", tmp_path / "nightly.csv", "--dry-run", "--home", tmp_path / "home", check=0)
    assert "images   33 of 3 labels" in done.stdout


@pytest.mark.parametrize("full", ["new.csv", ".png", "fsync"])
def test_a_full_disk_keeps_whole_lines_and_the_server(built, tmp_path, monkeypatch, full):
    path, write = tmp_path / "new.csv", Path.write_bytes
    first, other = ((built[0] / "class 1" / f"0{number}.png").read_bytes() for number in (5, 6))
    met = []

    def half(file, data):
        """As a disk that takes half of what it is given, and says so after that."""
        if full not in file.name:
            return write(file, data)
        met.append(write(file, data[: len(data) // 2]))
        raise OSError(errno.ENOSPC, "No space left on device", str(file))

    def late(descriptor):
        """As a disk that finds out when it is asked for certainty."""
        met.append(descriptor)
        raise OSError(errno.ENOSPC, "No space left on device")

    with served(built[1], "photos", feedback=Feedback(str(path))) as server:

        def say(sent, said):
            answer = server.form("/v1/search", image=sent).json
            asked = {"build": "photos", "digest": answer["digest"], "query": answer["id"]}
            return server.post("/v1/feedback", {**asked, "row": answer["hits"][0]["row"], "said": said})

        assert say(first, "right").status == 204
        before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
        with monkeypatch.context() as patched:
            if full == "fsync":
                patched.setattr(os, "fsync", late)
            else:
                patched.setattr(Path, "write_bytes", half)
            refused = say(other, "class 2")
            assert is_problem(refused, 507)
        assert met
        assert "no space left on the disk of" in refused.json["detail"]
        assert refused.json["hint"] == "free some space, and say it again"
        there = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
        assert there.items() >= before.items(), "what was said before stands"
        assert {file.suffix for file in there.keys() - before.keys()} <= {".png"}, "no half file is left"
        assert all(there[file] == other for file in there.keys() - before.keys())
        assert len(rows(path)) == 1
        assert server.form("/v1/search", image=first).status == 200
        assert say(other, "class 2").status == 204, "there is space again"
    assert [row[1] for row in rows(path)][1:] == ["class 2"]
    assert {(tmp_path / row[0]).read_bytes() for row in rows(path)} == {first, other}


def picture_bytes(number):
    from simsearch.images.encoding import png_of

    return png_of(np.asarray(picture(1, number)))


def test_feedback_is_kept_only_where_it_was_asked_for(built, tmp_path):
    with served(built[1], "photos") as server:
        asked = {"build": "photos", "digest": server.digest(), "query": "row-1", "row": 1, "said": "right"}
        assert is_problem(server.post("/v1/feedback", asked), 403)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    for name, said in (("other.csv", "is no file that"), ("none/x.csv", "there is no folder")):
        done = run_cli("serve", "--home", built[1], "--port", 0, "--feedback", tmp_path / name, check=2)
        assert said in done.stderr


def test_defect_scores_are_those_of_the_command(built, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(built[1], home)
    fit = ("defects", "fit", "--build", "photos", "--normal", "class 1", "--false-alarms", "0.4", "--method", "mean")
    run_cli(*fit, "--home", home, check=0)
    path = built[0] / "class 2" / "01.png"
    expected = json.loads(run_cli("defects", "score", path, "--json", "--home", home).stdout)
    with served(home, "photos-defects", "photos") as server:
        assert [build["can"]["defects"] for build in server.get("/v1/builds").json["builds"]] == [True, False]
        reply = server.form("/v1/builds/photos-defects/defects", image=("01.png", path.read_bytes()))
        assert reply.status == 200, reply.body
        assert {**reply.json, "image": "", "digest": ""} == {**expected, "image": "", "digest": ""}
        asked = "/v1/builds/photos-defects/defects"
        assert is_problem(server.form(asked + "?heatmap=true", image=path.read_bytes()), 422)
        assert is_problem(server.form("/v1/builds/photos/defects", image=path.read_bytes()), 404)
        assert is_problem(server.form(asked, image=zlib.compress(b"x")), 422)
        assert is_problem(server.form(asked, {"k": "1"}, image=path.read_bytes()), 422)
        assert is_problem(server.form(asked + "?heatmap=perhaps", image=path.read_bytes()), 422)
