"""The process that serves: no privilege, told by sdd what to say."""
