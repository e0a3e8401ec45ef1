"""What embeds a corpus or searches it: this process, or other machines behind the same Protocols."""
