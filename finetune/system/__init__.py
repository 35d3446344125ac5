"""What everything else stands on: files, threads, progress, optional packages; it knows nothing of networks."""
