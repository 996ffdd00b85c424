"""Work that other processes and machines do: a queue that survives them, and Ray, which runs them."""
