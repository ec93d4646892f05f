"""Images in registries, by the protocols of the Open Container Initiative (OCI). Knows no platform.

references    names of images: parsing, printing, and their places in another registry
manifests     the documents of an image: manifests, indexes, descriptors
login         an account at a registry
auth_files    accounts in the files of the container tools
access        authentication at one registry
client        requests to one registry: read and write manifests and blobs
copying       copies of images between registries
rewriting     references inside Kubernetes objects
pull_secrets  the content of a Secret with which nodes pull
failures      messages for what a registry refuses

The word registry alone means the model registry (storage/registry) elsewhere in this repository; in this
package it means an image registry.
"""
