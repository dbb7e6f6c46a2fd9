"""Adapters: other programs' own protocols, served from an acquisition server. Each is a lossless subscriber in its
own process."""
