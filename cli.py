from tlkit.__main__ import main

main()
