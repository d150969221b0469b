# SPDX-License-Identifier: Apache-2.0
"""Shows that agreement.py can fail: faultless evidence has no violation, and each of these faults, put in at a random place, has the one it
must have. Each is tried with many seeds."""
import random

from agreement import NEVER, Delivery, Evidence, Message, Row, check, check_losses

SEEDS = 50
FAULTS = []


def fault(rule):
    return lambda function: FAULTS.append((rule, function)) or function


def story(dice):
    e, next_offset = Evidence(), [0] * 4
    for n in range(200):
        transaction, id = f"T{n:04}", f"a-{n}"
        plan = dice.choice(("commit", "commit", "commit-unknown", "late", "refuse", "nothing-unknown", "die-after"))
        e.plans[transaction] = plan
        if plan in NEVER or plan == "late" and dice.random() < 0.5:
            if dice.random() < 0.7:
                e.verdicts[transaction] = "rollback"
            continue
        e.verdicts[transaction] = "commit"
        e.rows[transaction] = Row(id, n)
        if dice.random() < 0.9:
            e.placed.add(id)
        queue = dice.randrange(4)
        e.messages.append(Message(queue, next_offset[queue], transaction, id, n))
        next_offset[queue] += 1
        e.deliveries.append(Delivery(10 * n, 0, id))
        e.processed.add(id)
    e.shipped = [len(e.processed)]
    e.again = list(e.messages)
    e.kills = [(995, 998)]
    twice = dice.choice([d for d in e.deliveries if d.at < 900])
    e.deliveries.append(Delivery(2500, 1, twice.id))
    return e


def remove(e, dice, also_again=True):
    m = e.messages.pop(dice.randrange(len(e.messages)))
    if also_again:
        e.again.remove(m)
    return m


def put(e, message):
    e.messages.append(message)
    e.again.append(message)


def unconsumed(e, id):
    e.processed.discard(id)
    e.deliveries = [d for d in e.deliveries if d.id != id]
    e.shipped = [len(e.processed)]


def consumed(e, id):
    e.processed.add(id)
    e.shipped = [len(e.processed)]


@fault("missing")
def missing_message(e, dice):
    unconsumed(e, remove(e, dice).id)


@fault("missing")
def everything_missing(e, dice):
    for _ in list(e.messages):
        unconsumed(e, remove(e, dice).id)


@fault("extra")
def extra_message(e, dice):
    put(e, Message(1, 900, "T9999", "a-9999", 9999))
    consumed(e, "a-9999")


@fault("doubled")
def doubled_message(e, dice):
    put(e, dice.choice(e.messages)._replace(offset=900))


@fault("doubled")
def doubled_in_another_queue(e, dice):
    m = dice.choice(e.messages)
    put(e, m._replace(queue=(m.queue + 1) % 4, offset=900))


@fault("rolled back")
def tombstone_delivered(e, dice):
    transaction = dice.choice([t for t, v in e.verdicts.items() if v == "rollback"])
    put(e, Message(2, 900, transaction, "a-dead", 0))
    consumed(e, "a-dead")


@fault("rolled back")
def refused_one_delivered(e, dice):
    transaction = dice.choice([t for t, p in e.plans.items() if p in NEVER and t not in e.verdicts])
    put(e, Message(2, 900, transaction, "a-refused", 0))
    consumed(e, "a-refused")


@fault("content")
def another_body(e, dice):
    m = remove(e, dice)
    put(e, m._replace(payload=m.payload + 1))


@fault("content")
def another_transactions_id(e, dice):
    m, other = remove(e, dice), remove(e, dice)
    put(e, m._replace(transaction=other.transaction))
    put(e, other._replace(transaction=m.transaction))


@fault("moved")
def gone_after_the_last_kill(e, dice):
    e.again.pop(dice.randrange(len(e.again)))


@fault("moved")
def doubled_by_the_last_kill(e, dice):
    e.again.append(dice.choice(e.again)._replace(offset=900))


@fault("parked")
def parked(e, dice):
    e.parked = 1


@fault("database")
def lost_commit_of_the_database(e, dice):
    transaction = dice.choice([t for t, row in e.rows.items() if row.id in e.placed])
    del e.rows[transaction], e.verdicts[transaction]


@fault("database")
def half_a_commit(e, dice):
    e.verdicts[dice.choice(list(e.rows))] = "rollback"


@fault("database")
def row_of_a_refused_one(e, dice):
    transaction = dice.choice([t for t, p in e.plans.items() if p in NEVER])
    e.rows[transaction], e.verdicts[transaction] = Row("a-no", 0), "commit"


@fault("effect")
def not_processed(e, dice):
    unconsumed(e, dice.choice(e.messages).id)


@fault("effect")
def applied_twice(e, dice):
    e.shipped = [e.shipped[0] + 1]


@fault("delivery")
def delivered_twice_for_no_reason(e, dice):
    d = dice.choice([d for d in e.deliveries if 1100 < d.at < 2400])
    e.deliveries.append(Delivery(d.at + 1, d.life, d.id))


def unsafe_campaign(lost, rolled_back):
    """The rules that check_losses() sees broken where so many messages are lost, of which so many had been rolled back by a check."""
    seen = set()
    for seed in range(SEEDS):
        dice = random.Random(seed)
        e = story(dice)
        ids = [remove(e, dice).id for _ in range(lost)]
        e.rolled_back = set(ids[:rolled_back])
        seen.add(tuple(sorted({v.rule for v in check_losses(e)})))
    return seen


def main():
    good, bad = 0, 0

    def said(name, wrong, right):
        nonlocal good, bad
        good, bad = good + (not wrong), bad + bool(wrong)
        print(f"FAIL {name}  {wrong}" if wrong else f"ok   {name}  {right}")

    clean = [check(story(random.Random(seed))) for seed in range(SEEDS)]
    said("faultless", next((f"seed {seed}: {seen[0]}" for seed, seen in enumerate(clean) if seen), None), f"no violation with {SEEDS} seeds")
    for rule, function in FAULTS:
        wrong, text = None, ""
        for seed in range(SEEDS):
            e = story(random.Random(seed))
            function(e, random.Random(f"{seed}/fault"))
            seen = [v for v in check(e) if v.rule == rule]
            if not seen:
                wrong = f"seed {seed}: wanted '{rule}', saw {sorted({v.rule for v in check(e)}) or 'nothing'}"
            text = f"{rule}: {seen[0].text}" if seen else text
        said(function.__name__, wrong, text)
    for lost, rolled_back, wanted in ((3, 3, ()), (0, 0, ("nothing missing",)), (3, 2, ("not by a check",))):
        seen = unsafe_campaign(lost, rolled_back)
        said(f"unsafe producers, {lost} lost, {rolled_back} of them by a check", f"wanted {wanted}, saw {seen}" if seen != {wanted} else None, ", ".join(wanted) or "as it must be")
    print(f"{good} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
