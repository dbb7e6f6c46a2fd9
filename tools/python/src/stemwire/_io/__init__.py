"""Sockets and waiting. All is written once, as coroutines over a `Waiter`, which for blocking callers blocks."""
