"""Language models behind one port: real providers over HTTP, and scripted or recorded ones without a key."""
