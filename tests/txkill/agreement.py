# SPDX-License-Identifier: Apache-2.0
"""Do the rows of the database and the messages of the topic agree? What was seen goes into an Evidence; check() names what does not fit."""
import collections

Row = collections.namedtuple("Row", "id payload")
Message = collections.namedtuple("Message", "queue offset transaction id payload")
Delivery = collections.namedtuple("Delivery", "at life id")  # to the consumer of that number
Violation = collections.namedtuple("Violation", "rule text")

RULES = {
    "missing": "a row is committed and its message is nowhere",
    "extra": "a message stands in the topic and its row is not committed",
    "rolled back": "a message stands in the topic and its transaction was rolled back, by plan or by a tombstone",
    "doubled": "a transaction has messages at two places",
    "content": "a message is not what its row says",
    "moved": "a message has another place after one more kill -9 of the broker",
    "database": "the database itself broke its word: then the rest says nothing about the broker",
    "parked": "a half message was put aside: its checks were used up",
    "effect": "the consumer's database does not hold each order's effect once",
    "not by a check": "a row is committed, its message is nowhere, and no check had rolled it back",
    "nothing missing": "producers that answer checks unsafely lost nothing: this campaign would not notice a loss",
    "delivery": "the consumer got a message twice, and nothing had been killed for a minute",
}
# Seconds in which clients find back to their work after a kill: they tell the broker of themselves every 30 s and share the queues out every
# 20 s. The Go client does the latter without a lock: two rounds at once, and it pulls a queue twice.
AFTERMATH = 60
# What a local transaction of these plans never commits.
NEVER = {"refuse", "nothing-unknown", "die-before", "die-inside"}


class Evidence:
    def __init__(self):
        self.rows = {}         # transaction -> Row, of the committed orders
        self.verdicts = {}     # transaction -> commit | rollback (a tombstone)
        self.plans = {}        # transaction -> plan, of those that a producer began
        self.placed = set()    # ids that a producer said were committed
        self.rolled_back = set()  # ids that a check rolled back
        self.messages = []     # of the topic, after the drain
        self.again = []        # the same once more, after a last kill
        self.parked = 0
        self.deliveries = []   # in order of time
        self.kills = []        # (from, to) of each time in which something was dead: what was on its way when it was killed may be seen until its end
        self.processed = set() # ids in the consumer's database
        self.shipped = []      # and what it took of each item in stock: there is one item, and each order is for one of it


def check(e):
    found = []

    def violated(rule, text):
        found.append(Violation(rule, text))

    places = collections.defaultdict(list)
    for m in e.messages:
        places[m.transaction].append(m)
    check_database(e, violated)
    for transaction, row in e.rows.items():
        if transaction not in places:
            violated("missing", f"{row.id} ({e.plans.get(transaction, 'no plan')}), transaction {transaction}")
    for transaction, held in places.items():
        where = ", ".join(f"queue {m.queue} offset {m.offset}" for m in held)
        what = f"{held[0].id} ({e.plans.get(transaction, 'no plan')}), transaction {transaction}, at {where}"
        if len(held) > 1:
            violated("doubled", what)
        if transaction not in e.rows:
            rolled_back = e.verdicts.get(transaction) == "rollback" or e.plans.get(transaction) in NEVER
            violated("rolled back" if rolled_back else "extra", what)
        elif any((m.id, m.payload) != e.rows[transaction] for m in held):
            violated("content", what)
    gone, new = set(e.messages) - set(e.again), set(e.again) - set(e.messages)
    for m in sorted(gone | new)[:5]:
        violated("moved", f"{m.id} at queue {m.queue} offset {m.offset} is {'gone' if m in gone else 'new'}")
    if e.parked:
        violated("parked", f"{e.parked} half messages")
    check_consumer(e, violated)
    return found


def check_database(e, violated):
    committed = {t for t, verdict in e.verdicts.items() if verdict == "commit"}
    for transaction in sorted(committed ^ set(e.rows))[:5]:
        violated("database", f"transaction {transaction} has {'an order' if transaction in e.rows else 'no order'}, and its verdict is {e.verdicts.get(transaction)}")
    ids = {row.id for row in e.rows.values()}
    for lost in sorted(e.placed - ids)[:5]:
        violated("database", f"the commit of {lost} had returned, and its row is gone")
    for transaction, plan in e.plans.items():
        if plan in NEVER and transaction in e.rows:
            violated("database", f"{e.rows[transaction].id} is there, and its plan was {plan}")


def check_losses(e):
    """With producers that answer checks unsafely: only what they gave away themselves may be missing, and some of it is."""
    there = {m.transaction for m in e.messages}
    missing = {row.id for transaction, row in e.rows.items() if transaction not in there}
    found = [Violation("not by a check", id) for id in sorted(missing - e.rolled_back)]
    if not missing:
        found.append(Violation("nothing missing", f"{len(e.rolled_back & {row.id for row in e.rows.values()})} committed orders had been rolled back by a check"))
    return found


def check_consumer(e, violated):
    ids = {m.id for m in e.messages}
    for id in sorted(ids ^ e.processed)[:5]:
        violated("effect", f"{id} is {'not processed' if id in ids else 'processed, and no message says so'}")
    if e.shipped != [len(e.processed)]:
        violated("effect", f"{len(e.processed)} orders are processed, and {e.shipped} shipped")
    before = {}
    for d in e.deliveries:
        first = before.get(d.id)
        if first and not any(first.at - AFTERMATH <= until and since <= d.at for since, until in e.kills):
            violated("delivery", f"{d.id} to consumer {first.life} and {d.at - first.at:.3f} s later to consumer {d.life}")
        before[d.id] = d
