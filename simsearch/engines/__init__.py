"""What trains, embeds or searches a corpus beside this process: other processes, or other machines behind Protocols."""
