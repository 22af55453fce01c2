"""What `sdctl doctor` looks at: each file one area, each probe one finding."""
