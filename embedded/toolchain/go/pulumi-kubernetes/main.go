// The official Kubernetes provider, built from its own module: upstream's main.go needs two files that
// a step of its release makes. Here `go build -overlay` gives schema.json and terraform-mapping.json
// out of that module (see ../../golang.py); they are in no repository of ours.
package main

import (
	_ "embed"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version"
)

//go:embed schema.json
var schema []byte

//go:embed terraform-mapping.json
var mapping []byte

func main() {
	provider.Serve("kubernetes", version.Version, schema, mapping)
}
