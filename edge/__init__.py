"""The edge: the service that browsers and merchants' servers talk to.

`supervisor` opens the listening sockets and keeps the processes running; `worker` is one of them;
`app` puts a worker's service together from the front (Rust), `handover` (a connection of the front
becomes aiohttp's) and `routes` (the aiohttp door to the same responder).
"""
