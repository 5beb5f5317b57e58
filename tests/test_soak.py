"""Everything at once, thousands of steps: no deadlock, nothing lost, nothing left behind."""

import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from random import Random

import psycopg
import pytest

from support.driver import PATIENCE
from support.interleaving import APPEND, Connect, batch, rows

pytestmark = pytest.mark.slow

WORKERS = 6
TURNS = 150
TURNS_LONG = 5000

STEPS = {
    "append": APPEND,
    "fork": "select kata.fork(%s, %s)",
    "merge": "select version, created_at from kata.merge(%s, %s)",
    "delete": "select kata.delete_context(%s)",
    "restore": "select kata.restore_context(%s)",
    "purge": "select removed from kata.purge_context(%s)",
    "erase": """
        select segment_id, version from kata.erase_message(%s, %s, 'by request') where what <> 'original'""",
    "purge deleted": "select context_id from kata.purge_deleted(interval '1 second')",
}
WEIGHTS = dict.fromkeys(STEPS, 4) | {"append": 12, "fork": 8, "merge": 6, "purge deleted": 1}
# No such version, deleted or purged, too deep, not deleted: another worker was faster. Busy: a removal that
# met another change in a deadlock ends, has changed nothing, and is to be called again.
REFUSALS = {"KC002", "KC006", "KC008", "KC017", "KC025"}


class Soak:
    """What the workers share: the contexts, and what the store returned.

    Parameters
    ----------
    roots : the contexts to begin with
    turns : steps that each worker takes
    seed : what their choices follow from
    """

    def __init__(self, roots: list[uuid.UUID], turns: int, seed: int) -> None:
        self.turns = turns
        self.seed = seed
        self.contexts = roots
        self.said: dict[tuple[uuid.UUID, int], str] = {}
        self.erased: set[tuple[uuid.UUID, int]] = set()
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def work(self, conn: psycopg.Connection, number: int) -> None:
        """Take random steps."""
        random = Random(f"{self.seed}:{number}")
        for turn in range(self.turns):
            step = random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            # Mostly among a few, so that they meet.
            context_id, other = random.choices(self.contexts[-12:] + self.contexts[:2], k=2)
            try:
                self._take(conn, step, context_id, other, random.randint(1, 8), f"{number}:{turn}")
            except psycopg.Error as error:
                if error.sqlstate not in REFUSALS:
                    raise
                self.refused[step] += 1
            else:
                self.done[step] += 1

    def _take(
        self,
        conn: psycopg.Connection,
        step: str,
        context_id: uuid.UUID,
        other: uuid.UUID,
        number: int,
        text: str,
    ) -> None:
        arguments = {
            "append": (context_id, batch(number, text)),
            "fork": (context_id, number),
            "merge": (context_id, other if other != context_id else self.contexts[0]),
            "erase": (context_id, number),
            "purge deleted": (),
        }.get(step, (context_id,))
        answer = rows(conn, STEPS[step], *arguments)
        if step == "append":
            self.said |= {(context_id, version): text for (version,) in answer}
        elif step == "fork":
            self.contexts.append(answer[0][0])
        elif step == "erase":
            self.erased |= set(answer)


def test_all_that_changes_contexts_at_once_neither_locks_up_nor_loses_nor_leaves_anything(
    connect: Connect, is_long: bool, seed: int
) -> None:
    observer = connect(autocommit=True)
    policy = "select kata.create_context(policy => '{\"max_fork_depth\": 1000}')"
    soak = Soak([rows(observer, policy)[0][0] for _ in range(3)], TURNS_LONG if is_long else TURNS, seed)
    connections = [connect(autocommit=True, options=f"-c lock_timeout={PATIENCE}s") for _ in range(WORKERS)]
    with ThreadPoolExecutor(WORKERS) as pool:
        for worker in [pool.submit(soak.work, conn, number) for number, conn in enumerate(connections)]:
            worker.result()

    assert all(soak.done[step] for step in STEPS), soak.done
    observer.execute("set kata.tenant = '*'")
    assert rows(observer, "select * from kata.verify()") == []
    ((stored, reached),) = rows(
        observer,
        """
        select (select count(*) from kata_data.message), count(distinct (m.segment_id, m.version))
        from kata_data.context c
        join kata_data.lineage l on l.context_id = c.context_id
        join kata_data.message m
          on m.segment_id = l.segment_id and m.version between l.first_version and l.last_version
        where c.purged_at is null
        """,
    )
    assert stored == reached, "a message is there that no context reads"

    observer.execute("set kata.tenant = 'default'")
    read = 0
    for (context_id,) in rows(observer, "select context_id from kata_data.context where purged_at is null"):
        rows(observer, "select kata.restore_context(%s)", context_id)
        log = rows(
            observer,
            "select m.version, m.segment_id, m.content from kata.state_at(%s) m order by m.version",
            context_id,
        )
        assert [version for version, _, _ in log] == list(range(1, len(log) + 1))
        for version, segment_id, content in log:
            said = soak.said.get((segment_id, version), content)
            assert content == ("" if (segment_id, version) in soak.erased else said)
        read += len(log)
    assert read
