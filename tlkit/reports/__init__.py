"""What people read: the console, tables, figures, pages."""
