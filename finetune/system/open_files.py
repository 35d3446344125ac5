"""How many files this process may have open: by default often 1,024, though the system allows more when asked."""

from contextlib import suppress


def allow_open_files(count: int) -> None:
    """Let this process have `count` files open at once, or as many as the system allows it; never fewer than now."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if most == resource.RLIM_INFINITY else min(count, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
