"""What Aftertone reads from Label Studio and writes there: projects, annotations, audio, the annotators' queue."""
