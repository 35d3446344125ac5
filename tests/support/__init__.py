"""What several tests share: files made byte by byte, drawn photos, a server on loopback, programs to kill."""
