"""The ground floor: files, HTTP, threads, progress, text, optional packages; nothing here knows about networks."""
