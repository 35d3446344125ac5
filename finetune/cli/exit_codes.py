"""The exit codes of every command, by name. `finetune.errors` gives each error its own."""

DONE = 0
FAILED = (
    1  # the work failed, or no input could be read; one line on stderr says what was expected, what came, what to do
)
WRONG_USAGE = 2  # the options are wrong, or need a package that is missing; nothing was written
SOME_UNREADABLE = 3  # done, but some inputs could not be read; each is in the output with the reason
INTERRUPTED = 130  # Ctrl-C or SIGTERM, as Typer and shells have it; one line on stderr says how to continue, if one can
