"""The engine over real transports; each front end moves bytes and answers nothing itself."""
