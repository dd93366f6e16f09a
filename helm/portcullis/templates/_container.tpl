{{/* What the server and its init containers share. */}}
{{- define "portcullis.container" -}}
image: {{ include "portcullis.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command: ["portcullis"]
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: ["ALL"]
env:
  - name: PORTCULLIS_LOG
    value: {{ .Values.log | quote }}
  - name: PORTCULLIS_LOG_FORMAT
    value: {{ .Values.logFormat }}
  - name: PORTCULLIS_DRAIN
    value: {{ printf "%ds" (int .Values.drainSeconds) | quote }}
  {{- with .Values.otlpEndpoint }}
  - name: PORTCULLIS_OTLP_ENDPOINT
    value: {{ . | quote }}
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
{{- end -}}

{{- define "portcullis.dataMounts" -}}
- name: data
  mountPath: {{ include "portcullis.dataDir" . }}
- name: tmp
  mountPath: /tmp
{{- end -}}

{{/* A probe: dict "root" $ "values" <probe> "service" <gRPC service name, or empty for the process as a whole> */}}
{{- define "portcullis.probe" -}}
exec:
  command:
    - portcullis
    - health
    - --endpoint
    - https://127.0.0.1:50051
    {{- with .root.Values.tls.caKey }}
    - --ca-cert
    - /etc/portcullis/tls/{{ . }}
    {{- end }}
    - --server-name
    - {{ include "portcullis.serverName" .root }}
    {{- with .service }}
    - --service
    - {{ . }}
    {{- end }}
{{ toYaml .values }}
{{- end -}}
