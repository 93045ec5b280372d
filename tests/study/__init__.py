"""Where a real guest's exits come from: one boot, an idle minute and three loads, recorded."""
