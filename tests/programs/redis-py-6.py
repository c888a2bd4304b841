# Program: redis-py, older
# Needs: pip redis==6.2.0
# Run: python3 "${FILE%-6.py}.py"
# Exercises: all that the newest does
