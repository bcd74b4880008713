{{- define "headgate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "headgate.selectorLabels" -}}
app.kubernetes.io/name: headgate-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "headgate.podLabels" -}}
{{ include "headgate.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: headgate
{{- end -}}

{{- define "headgate.labels" -}}
{{ include "headgate.podLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "headgate.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "headgate.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "headgate.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- /* `--set image.tag=20261121` is a number, and a large one would be printed as 2.0261121e+07. */ -}}
{{- if not (kindIs "string" $tag) }}{{ $tag = int64 $tag }}{{ end -}}
{{- .Values.image.repository }}:{{ $tag }}{{ with .Values.image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{- define "headgate.subjects" -}}
subjects:
- kind: ServiceAccount
  name: {{ include "headgate.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* What the operator may do where it watches; each verb is one that it sends. docs/install.md says what for. */}}
{{- define "headgate.rules" -}}
rules:
- apiGroups: [headgate.dev]
  resources: [modeldeployments]
  verbs: [get, list, watch]
- apiGroups: [headgate.dev]
  resources: [modeldeployments/status]
  verbs: [update]
# Written by server-side apply: `patch`, and `create` where there is nothing yet.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [controllerrevisions]
  verbs: [get, list, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
# Looked at by name in each pass, and not watched. It goes with its ModelDeployment.
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, create, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- if .Values.rbac.readSecrets }}
# By name only: credentials of registries that ModelDeployments name.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
{{- end }}
{{- end -}}

{{/* What cannot be said in a schema so that a person understands it. */}}
{{- define "headgate.check" -}}
{{- $v := .Values -}}
{{- $_ := required "registry.uri is required: the address of your MLflow registry, such as --set registry.uri=http://mlflow.mlops:5000" $v.registry.uri -}}
{{- if and (not $v.leaderElection.enabled) (gt (int $v.replicaCount) 1) -}}
{{- fail (printf "leaderElection.enabled=false needs replicaCount=1, not %d: two operators that do not elect a leader would write against one another" (int $v.replicaCount)) -}}
{{- end -}}
{{- end -}}
