// Checks what Leveret is deployed with, without a cluster or a container engine: tests/deployment/run
//
// compose.yaml is loaded as Compose does it, with all profiles; the files that it mounts are there. The Kubernetes base is built as
// `kubectl apply -k` does it, and each object decoded strictly into the type of its API: a field that is not known is an error.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func main() {
	root := os.Args[1]
	faults := 0
	for _, check := range []struct {
		name string
		run  func(string) (string, error)
	}{{"compose", compose}, {"kubernetes", kubernetes}, {"prometheus", prometheus}, {"shop", shop}} {
		told, err := check.run(root)
		if err != nil {
			faults++
			told = "WRONG: " + err.Error()
		}
		fmt.Printf("%s: %s\n", check.name, told)
	}
	if faults > 0 {
		os.Exit(1)
	}
}

// compose loads it in an environment without variables, with all profiles.
func compose(root string) (string, error) {
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker/compose.yaml")}, cli.WithProfiles([]string{"*"}))
	if err != nil {
		return "", err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return "", err
	}
	for _, service := range project.Services {
		if service.Build == nil && !strings.Contains(service.Image, ":") {
			return "", fmt.Errorf("%s: the image has no version", service.Name)
		}
		for _, volume := range service.Volumes {
			if _, err := os.Stat(volume.Source); volume.Type == types.VolumeTypeBind && err != nil {
				return "", fmt.Errorf("%s: %w", service.Name, err)
			}
		}
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				return "", fmt.Errorf("%s: port %d is open to everybody", service.Name, port.Target)
			}
		}
	}
	return fmt.Sprintf("%d services", len(project.Services)), nil
}

// kubernetes has one object of each kind that is wanted, and selectors that find the pods.
func kubernetes(root string) (string, error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "docker/kubernetes"))
	if err != nil {
		return "", err
	}
	yaml, err := built.AsYaml()
	if err != nil {
		return "", err
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{apps.AddToScheme, core.AddToScheme, policy.AddToScheme} {
		if err := add(scheme); err != nil {
			return "", err
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	var set *apps.StatefulSet
	var selectors []map[string]string
	services, budgets := map[string]bool{}, 0
	for _, document := range bytes.Split(yaml, []byte("\n---\n")) {
		object, kind, err := decoder.Decode(document, nil, nil)
		if err != nil {
			return "", err
		}
		switch its := object.(type) {
		case *apps.StatefulSet:
			set = its
			selectors = append(selectors, its.Spec.Selector.MatchLabels)
		case *core.Service:
			services[its.Name] = true
			selectors = append(selectors, its.Spec.Selector)
		case *policy.PodDisruptionBudget:
			if its.Spec.Selector == nil {
				return "", fmt.Errorf("the PodDisruptionBudget is for no pod")
			}
			budgets++
			selectors = append(selectors, its.Spec.Selector.MatchLabels)
		default:
			return "", fmt.Errorf("nobody has asked for a %s", kind)
		}
	}
	if set == nil || budgets != 1 || !services[set.Spec.ServiceName] {
		return "", fmt.Errorf("a StatefulSet with its Service and its PodDisruptionBudget, not %d services, %d budgets", len(services), budgets)
	}
	for _, selector := range selectors {
		for name, value := range selector {
			if set.Spec.Template.Labels[name] != value {
				return "", fmt.Errorf("%s=%s selects no pod", name, value)
			}
		}
	}
	return container(set, len(selectors))
}

// container has probes, mounts what there is, and names ports that it has.
func container(set *apps.StatefulSet, objects int) (string, error) {
	pod := set.Spec.Template.Spec
	its := pod.Containers[0]
	if its.StartupProbe == nil || its.LivenessProbe == nil || its.ReadinessProbe == nil {
		return "", fmt.Errorf("a probe is missing")
	}
	volumes, ports := map[string]bool{}, map[string]bool{}
	for _, volume := range pod.Volumes {
		volumes[volume.Name] = true
	}
	for _, claim := range set.Spec.VolumeClaimTemplates {
		volumes[claim.Name] = true
	}
	for _, mount := range its.VolumeMounts {
		if !volumes[mount.Name] {
			return "", fmt.Errorf("there is no volume %s", mount.Name)
		}
	}
	for _, port := range its.Ports {
		ports[port.Name] = true
	}
	if probed := its.ReadinessProbe.TCPSocket.Port.StrVal; !ports[probed] {
		return "", fmt.Errorf("there is no port %s", probed)
	}
	return fmt.Sprintf("%d objects", objects), nil
}

// prometheus is told the same by both of its files, but for the comment and the broker's address.
func prometheus(root string) (string, error) {
	read := func(name string) (string, error) {
		text, err := os.ReadFile(filepath.Join(root, "docker/prometheus", name))
		_, settings, _ := strings.Cut(string(text), "\nglobal:")
		return settings, err
	}
	here, err := read("prometheus.yml")
	if err != nil {
		return "", err
	}
	composed, err := read("compose.yml")
	if err != nil {
		return "", err
	}
	if here == "" || strings.ReplaceAll(here, "127.0.0.1:", "leveret:") != composed {
		return "", fmt.Errorf("prometheus.yml and compose.yml say different things")
	}
	return "both files say the same", nil
}

// shop has the client library that the tests have.
func shop(root string) (string, error) {
	wanted, err := os.ReadFile(filepath.Join(root, "examples/python/requirements.txt"))
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(root, "docker/compose.yaml"))
	for line := range strings.Lines(string(wanted)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "pika==") && strings.Contains(string(text), line) {
			return line, err
		}
	}
	return "", fmt.Errorf("another pika than in examples/python/requirements.txt")
}
