"""Workers: UDFs in Python, run for an acquisition server on any machine that reaches it.

    stemwire-worker --connect tcp://merlin-server:7402 --udf mymodule:Brightest --udf
    com=libertem.udf.com:CoMUDF.with_params

UDFs are written against numpy (`UDF` here), or are LiberTEM's, unchanged. The worker imports them; code is never sent.
"""

from .offers import Offer, OfferError
from .plans import Meta
from .process import Settings, Worker, WorkerRefused, WorkerUnreachable
from .udf import UDF, Arrays, Buffer, nav, sig, single

__all__ = [
    "UDF",
    "Arrays",
    "Buffer",
    "Meta",
    "Offer",
    "OfferError",
    "Settings",
    "Worker",
    "WorkerRefused",
    "WorkerUnreachable",
    "nav",
    "sig",
    "single",
]
