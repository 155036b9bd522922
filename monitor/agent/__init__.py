"""What runs on a real PC and beats (docs/agents.md). It imports nothing of the rest and needs paho-mqtt alone.

Threads instead of asyncio: on Windows, paho's sockets and an event loop do not go together without tricks, and an
agent has three things to do, none of which is in a hurry.
"""
