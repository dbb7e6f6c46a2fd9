"""Messages of proto/stemwire.proto; scripts/generate makes them."""
