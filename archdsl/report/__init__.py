"""What is known about specifications, as text: diagnostics, tables, JSON, pages, dumps.

All of it is pure: data in, text or plain values out. Nothing here touches a disk or a terminal.
"""
