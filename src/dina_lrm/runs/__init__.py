"""What everything that is kept on disk shares: whole files, one writer, strict readers, and what may be replaced."""
