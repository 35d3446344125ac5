"""The exit codes of every command, by name. `finetune.errors` gives each error its own: FAILED or WRONG_USAGE."""

DONE = 0
FAILED = 1  # the work failed or was interrupted; one line on stderr says what was expected, what came, what to do
WRONG_USAGE = 2  # the options are wrong, or need a package that is missing; nothing was written
SOME_UNREADABLE = 3  # done, but some inputs could not be read; each is in the output with the reason
INTERRUPTED = 130  # reserved: what Typer and shells use for Ctrl-C; today `main` ends with FAILED instead
