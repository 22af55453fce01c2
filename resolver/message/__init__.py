"""DNS messages: bytes, questions, replies and what explains a failure."""
