"""The protocol without sockets, files or clocks: messages and times go in, decisions come out."""
