"""Webhooks out: what happens in the books is told to others, in the books' order, at least once.

The sender lives in the admin process and follows the booked records by their numbers, so that the bookkeeper does
nothing for it. What it has sent is its own, in DATA/webhooks.sqlite or, on several machines, in tables that only
senders use; whatever is killed when, it goes on from there.

    happenings   booked record → event       outbox   how far each webhook is, what failed
    guard        where nothing is sent to    sender   posts, signs, tries again
    place        on one machine, on several
"""
