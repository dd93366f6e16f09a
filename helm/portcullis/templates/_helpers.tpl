{{/* 52 characters: a StatefulSet's pods carry a label made of its name and an 11-character hash, and a label ends at 63. So do the
names of Services, of which one is longer by nine, and in which no dot may be, as in that of a release. */}}
{{- define "portcullis.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $release := replace "." "-" .Release.Name -}}
{{- if contains $name $release -}}
{{- $release | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" $release $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "portcullis.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "portcullis.labels" -}}
{{ include "portcullis.selectorLabels" . }}
{{ include "portcullis.commonLabels" . }}
{{- end -}}

{{- define "portcullis.commonLabels" -}}
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

{{/* The migrating Job's pods are no replicas: no selector of the server's may find them. */}}
{{- define "portcullis.migrateSelectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" }}-migrate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "portcullis.migrateLabels" -}}
{{ include "portcullis.migrateSelectorLabels" . }}
{{ include "portcullis.commonLabels" . }}
{{- end -}}

{{- define "portcullis.migrateServiceAccountName" -}}
{{- if .Values.migration.serviceAccount.create -}}
{{- default (printf "%s-migrate" (include "portcullis.fullname" .)) .Values.migration.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.migration.serviceAccount.name -}}
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

{{/* Where replicas and the migrating Job have to get to. */}}
{{- define "portcullis.egressDatabase" -}}
{{- with .Values.networkPolicy -}}
- to:
    {{- toYaml .dns | nindent 4 }}
  ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- if eq $.Values.database.engine "postgresql" }}
- to:
    {{- toYaml .database.to | nindent 4 }}
  ports:
    - {protocol: TCP, port: {{ .database.port }}}
{{- end }}
{{- end -}}
{{- end -}}

{{/* The port that a URL leads to: what stands at its end, or what its scheme means. */}}
{{- define "portcullis.portOf" -}}
{{- $named := regexFind ":[0-9]+/?$" . | trimAll ":/" -}}
{{- default (index (dict "http" "80" "https" "443" "smtp" "587" "smtps" "465") (regexFind "^[a-z]+" .)) $named -}}
{{- end -}}
