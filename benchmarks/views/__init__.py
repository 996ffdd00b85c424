"""What cached views bring: test accuracy of a head against their number, beside a fresh view in every epoch."""
