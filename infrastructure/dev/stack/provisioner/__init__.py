"""Volumes with a real size for one node: file-backed XFS on loop devices, as `local` PersistentVolumes.

A development cluster's stand-in for a CSI driver: it makes volumes for claims, grows them
while they are mounted, and takes them back by their reclaim policy. Everything it does can be cut off at any
line and done again; what it knows is in the API server and on the disk, nowhere else.
"""
