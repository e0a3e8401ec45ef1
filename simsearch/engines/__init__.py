"""What embeds a corpus: threads of this process, or machines that another engine commands."""
