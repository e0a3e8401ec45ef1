"""The fault campaign: what simsearch acknowledged is there after kills, power cuts, full disks, failing writes, damage.

One trial is an operation, a fault and a moment: `python -m campaign --trial sync/cut/37` from the folder of the tests.
Each is judged against an uncut twin, the same operation that nothing disturbed.
"""
