"""Version 1 of the messages: link.proto and its generated code (`make protos`)."""
