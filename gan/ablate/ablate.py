"""From a table to its results."""

from pathlib import Path

from data.base.atomic import named_if_it_fails
from data.base.errors import UserError
from data.base.locks import try_lock
from gan.ablate.jobs import Start, jobs_of, run_all
from gan.ablate.results import collect, draw_results, write_csv, write_markdown
from gan.ablate.table import read_table


def ablate(path: Path, out: Path, *, jobs: int, start: Start) -> None:
    """Run what is left of the table in `path` and write `out/results.csv`, `.md` and `.png`.

    Raises:
        UserError: the table or the folder is not what it should be, before anything runs.
        SystemExit: with code 1 at the end, where a row failed.
    """
    table = read_table(path)
    todo = jobs_of(table, out)
    with named_if_it_fails(out):
        out.mkdir(parents=True, exist_ok=True)
        lock = try_lock(out / ".lock")
    if lock is None:
        raise UserError(f"another gan.ablate is writing to {out}; let it end, or name another folder")
    with lock:
        for job in todo:
            job.claim()
        failed = run_all(todo, jobs, start)
        if results := collect(job for job in todo if job not in failed):
            write_csv(out / "results.csv", results)
            draw_results(out / "results.png", results)
            print(write_markdown(out / "results.md", results))
            print(f"written to {out}")
    for job in filter(failed.__contains__, todo):
        print(f"failed: {job}: {failed[job]}")
    if failed:
        raise SystemExit(1)
