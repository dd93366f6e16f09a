{{/* 52 characters: a StatefulSet's pods carry a label made of its name and an 11-character hash, and a label ends at 63. */}}
{{- define "portcullis.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "portcullis.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "portcullis.labels" -}}
{{ include "portcullis.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "portcullis.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "portcullis.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "portcullis.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "portcullis.dataDir" -}}/var/lib/portcullis{{- end -}}
{{- define "portcullis.databaseUrl" -}}sqlite://{{ include "portcullis.dataDir" . }}/portcullis.db{{- end -}}
{{- define "portcullis.adminFile" -}}{{ include "portcullis.dataDir" . }}/admin.json{{- end -}}

{{- define "portcullis.serverName" -}}
{{- default (printf "%s.%s.svc" (include "portcullis.fullname" .) .Release.Namespace) .Values.tls.serverName -}}
{{- end -}}

{{/*
What a schema cannot say, and again the two things that it does say and that must hold with `--skip-schema-validation` too:
no second writer, no plaintext.
*/}}
{{- define "portcullis.refuse" -}}
{{- if ne (int .Values.replicaCount) 1 -}}
{{- fail (printf "replicaCount is %v: the embedded database has one writer, set it to 1" .Values.replicaCount) -}}
{{- end -}}
{{- if not .Values.tls.secretName -}}
{{- fail "tls.secretName is empty: name a Secret with tls.crt and tls.key, the server refuses plaintext beyond loopback" -}}
{{- end -}}
{{- if lt (int .Values.terminationGracePeriodSeconds) (add (int .Values.drainSeconds) 5 | int) -}}
{{- fail (printf "terminationGracePeriodSeconds is %v: set it at least 5 above drainSeconds (%v), or the server is killed while it drains" .Values.terminationGracePeriodSeconds .Values.drainSeconds) -}}
{{- end -}}
{{- end -}}
