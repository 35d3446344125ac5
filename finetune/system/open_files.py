"""How many files this process may have open: by default often 1,024, though the system allows more when asked."""


def allow_open_files(count: int) -> None:
    """Let this process have `count` files open at once, or about as many as the system allows; never fewer than now.

    macOS names no limit, and refuses numbers above one of its own: then half as many are asked for, and so on.
    """
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if most == resource.RLIM_INFINITY else min(count, most)
    while now != resource.RLIM_INFINITY and now < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
        except (OSError, ValueError):
            wanted //= 2
        else:
            return
