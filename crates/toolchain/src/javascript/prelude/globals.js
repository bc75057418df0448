// Loads everything that a module may expect to find.
import "nexus:loop";
import "nexus:text";
import "nexus:console";
import "nexus:url";
import "nexus:streams";
import "nexus:fetch-types";
import "nexus:fetch";
import "nexus:misc";
import "nexus:function";
