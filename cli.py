from tlkit.cli.main import main

raise SystemExit(main())
