"""Pods as local processes: what a node does for a pod, behind an interface that virtual time can stand in for."""
