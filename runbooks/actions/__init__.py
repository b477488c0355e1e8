"""The actions, one mitigation a file. An action is done to one named target, sees before it acts, and can be undone."""
