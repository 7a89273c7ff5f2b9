"""What an operator must know and may ask: what runs here, what was signalled, what is wrong, how the models did.

Belongs here: manifest, processes, signal log, health, alerts, dead-man's switch, shadow report, training plan. Does not
belong: deciding (`signals`), showing it in a browser (`board`).
"""
