"""What somebody is to be told of while it lasts: judged from the trail, sent by mail and to a webhook."""
