"""The HTTP side: vendor dialects over one store, the websocket, audio, health. `app.build` puts it together."""
